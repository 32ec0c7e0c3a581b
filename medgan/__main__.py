"""``python -m medgan``, which launchers of several processes call, is the program ``medgan``."""

from medgan.cli.main import main

if __name__ == "__main__":
    main()
