from lmconv_resource.hosts.native.server import main

main()
