"""Many messages over several connections to one server, each message sent once."""
