"""A shop: `storefront*` is its program, `seed*` makes up its past, `documents` is how both write."""
