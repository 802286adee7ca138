package apiserver

import "net/http"

// withUpgrades closes the connection after a request for an upgrade that failed, whoever refused it: a client that thinks that
// it speaks another protocol must not be heard as HTTP. An upgrade that succeeds takes the connection over and sends none of
// these headers.
func withUpgrades(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" && r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}
