"""The console command ``fire``."""
