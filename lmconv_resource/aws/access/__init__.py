"""Who calls AWS, and where: settings, roles, sessions, accounts and regions."""
