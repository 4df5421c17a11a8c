"""The pretend world: weather, prices, people, and a home that answers as evcc does."""
