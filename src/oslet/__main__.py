from oslet.cli.main import main

main()
