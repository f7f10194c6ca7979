"""Put together what a store holds of a campaign: records to judge, show and deliver."""
