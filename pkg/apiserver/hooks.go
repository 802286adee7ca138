package apiserver

import (
	"context"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	restclient "k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// controllerRetry is how long to wait before controllers that ended with an error are run again: a little longer every
// time, because what is wrong may need a person.
func controllerRetry() wait.Backoff {
	return wait.Backoff{Duration: 5 * time.Second, Factor: 2, Steps: math.MaxInt32, Cap: time.Minute}
}

// addHooks ties the controllers and the streams to the life of the server.
func addHooks(server *genericapiserver.GenericAPIServer, extra *ExtraConfig) error {
	if extra.CloseStreams != nil {
		if err := server.AddPreShutdownHook("close-streams", func() error {
			ctx, cancel := context.WithTimeout(context.Background(), closeStreamsTimeout)
			defer cancel()
			return extra.CloseStreams(ctx)
		}); err != nil {
			return err
		}
	}
	if extra.KeepNamespaces != nil {
		if err := server.AddPostStartHook("keep-namespaces", func(hook genericapiserver.PostStartHookContext) error {
			go func() {
				if err := extra.KeepNamespaces(hook); err != nil {
					klog.FromContext(hook).Error(err, "Namespaces are not watched")
				}
			}()
			return nil
		}); err != nil {
			return err
		}
	}
	if extra.Controller == nil {
		return nil
	}
	controllers := newControllers(extra.Controller)
	if err := server.AddPostStartHook("start-controllers", func(hook genericapiserver.PostStartHookContext) error {
		controllers.start(hook.LoopbackClientConfig)
		return nil
	}); err != nil {
		return err
	}
	return server.AddPreShutdownHook("stop-controllers", func() error {
		controllers.stop()
		return nil
	})
}

// closeStreamsTimeout is how long the ends of streams may take to say goodbye when the server stops.
const closeStreamsTimeout = 5 * time.Second

// controllers runs the controllers under a context of its own. The context of a post-start hook ends only after the
// server has drained its requests; controllers that waited for it would keep the lease of a server that is going down,
// and their own watches would keep the server from draining (https://github.com/vmware/pinniped/pull/1688).
type controllers struct {
	run    ControllerFunc
	ctx    context.Context
	cancel context.CancelFunc
	// started is closed when the controllers were started, done when they have stopped.
	started chan struct{}
	done    chan struct{}
}

func newControllers(run ControllerFunc) *controllers {
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), klog.Background()))
	return &controllers{run: run, ctx: ctx, cancel: cancel, started: make(chan struct{}), done: make(chan struct{})}
}

func (c *controllers) start(loopback *restclient.Config) {
	close(c.started)
	go func() {
		defer close(c.done)
		retry := controllerRetry()
		for {
			err := c.run(c.ctx, loopback)
			if c.ctx.Err() != nil {
				return
			}
			after := retry.Step()
			klog.FromContext(c.ctx).Error(err, "The controllers do not run; the API does", "nextAttempt", after)
			select {
			case <-c.ctx.Done():
				return
			case <-time.After(after):
			}
		}
	}()
}

// stop ends the controllers and waits for them, if they were started.
func (c *controllers) stop() {
	c.cancel()
	select {
	case <-c.started:
		<-c.done
	default:
	}
}
