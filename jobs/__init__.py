"""What runs on a schedule: one module per job, and the scheduler process.

A job is a few lines over the same application object that the command line uses. Nothing here
decides about enrollments.
"""
