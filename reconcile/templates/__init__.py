"""What a mail to the learner may say, and with which names."""
