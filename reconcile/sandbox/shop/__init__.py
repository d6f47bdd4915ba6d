"""The storefront: a shop's documents with years of habits, and the shop alive."""
