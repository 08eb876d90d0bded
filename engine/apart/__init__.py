"""Programs that a viewer starts as processes of their own, since they import torch. They answer in JSON."""
