from oslet.cli.quick import main

main()
