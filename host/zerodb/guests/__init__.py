"""Projects whose code becomes a component: `zerodb new` makes one, `zerodb build` builds it."""
