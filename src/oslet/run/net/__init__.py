"""The network of instances: a switch a user, with a cable to each instance, a way out, published ports and names."""
