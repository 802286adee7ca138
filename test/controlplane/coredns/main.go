// Command coredns is CoreDNS with the plugins that a cluster's DNS needs and no
// others: the clients of clouds and tracers that CoreDNS's own command brings
// would take longer to build than all the rest.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"        // Serves some addresses of the machine only.
	_ "github.com/coredns/coredns/plugin/cache"       // Keeps answers for a while.
	_ "github.com/coredns/coredns/plugin/errors"      // Logs what failed.
	_ "github.com/coredns/coredns/plugin/forward"     // Asks another server.
	_ "github.com/coredns/coredns/plugin/health"      // GET /health.
	_ "github.com/coredns/coredns/plugin/hosts"       // Names from a file in the form of /etc/hosts.
	_ "github.com/coredns/coredns/plugin/kubernetes"  // Services and pods.
	_ "github.com/coredns/coredns/plugin/loadbalance" // Rotates the addresses of an answer.
	_ "github.com/coredns/coredns/plugin/log"         // Logs every question.
	_ "github.com/coredns/coredns/plugin/loop"        // Ends the server when it would forward to itself.
	_ "github.com/coredns/coredns/plugin/ready"       // GET /ready.
	_ "github.com/coredns/coredns/plugin/template"    // Answers made from the question.
)

func main() {
	dnsserver.Directives = directives()
	coremain.Run()
}

// directives lists the plugins in the order in which a question passes them.
func directives() []string {
	return []string{"bind", "ready", "health", "errors", "log", "loadbalance", "cache", "template", "hosts", "kubernetes", "loop", "forward"}
}
