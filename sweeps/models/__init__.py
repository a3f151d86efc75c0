"""What is trained: families of models, each as a stack of replicas that train at once."""
