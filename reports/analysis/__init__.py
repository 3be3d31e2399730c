"""From records to what they allow us to say: comparable groups, statistics, contrasts."""
