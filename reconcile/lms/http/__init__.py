"""HTTP to one server: one pooled session a thread, bounded answers, errors of ours."""
