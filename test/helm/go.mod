module tensorstack.dev/virtualserver/test/helm

go 1.26.0
