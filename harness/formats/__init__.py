"""Models in other files than safetensors, made into folders of them."""
