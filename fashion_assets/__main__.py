"""`python -m fashion_assets` is the `fashion-assets` command."""

from fashion_assets.cli import main

if __name__ == "__main__":
    main()
