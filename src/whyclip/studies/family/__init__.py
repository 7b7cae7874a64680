"""Small CLIPs trained by one recipe: ordinary ones, and ones with a planted shortcut."""
