"""What the data leave open: noise, standard deviations, and draws from the posterior."""
