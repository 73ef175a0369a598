"""What "auto" means: penalties, intercepts, likelihood and sample size, chosen by the data."""
