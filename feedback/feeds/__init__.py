"""What a feed brings: items from files, folders, RSS and the HTTP route, read once and answered by the champion."""
