"""Field units: who is free, who goes where, how far they have got, and whether they are heard."""
