"""From terms to programs: `lower` builds instructions, `order` plans contractions, `cost` prices them."""
