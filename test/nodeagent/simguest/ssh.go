package simguest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/test/nodeagent/serial"
)

// secureShell serves SSH: every user and every key or password is welcome,
// because there is nothing behind it but the simulated shell.
func (g *Guest) secureShell(ctx context.Context, conn net.Conn) {
	if err := g.serveSSH(ctx, conn); err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
		klog.FromContext(ctx).V(2).Info("An SSH connection to a guest ended", "machine", g.machine.Name, "reason", err)
	}
}

// hostKey follows from the machine's identity, so that the agent may restart.
func (g *Guest) hostKey() (ssh.Signer, error) {
	seed := sha256.Sum256([]byte("host key of " + string(g.machine.UID)))
	key, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		return nil, fmt.Errorf("making the host key: %w", err)
	}
	return key, nil
}

func (g *Guest) serveSSH(ctx context.Context, conn net.Conn) error {
	key, err := g.hostKey()
	if err != nil {
		return err
	}
	config := &ssh.ServerConfig{
		NoClientAuth:      true,
		PasswordCallback:  func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil },
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil },
	}
	config.AddHostKey(key)
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	go ssh.DiscardRequests(requests) // ends with the connection
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "only sessions are served")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return fmt.Errorf("accepting a session: %w", err)
		}
		g.session(ctx, channel, requests)
	}
	return nil
}

// session answers the requests of one channel: a command or a shell ends it.
func (g *Guest) session(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for request := range requests {
		switch request.Type {
		case "exec":
			var command struct{ Line string }
			if err := ssh.Unmarshal(request.Payload, &command); err != nil {
				_ = request.Reply(false, nil)
				continue
			}
			_ = request.Reply(true, nil)
			exitStatus(channel, g.execute(channel, command.Line))
			return
		case "shell":
			_ = request.Reply(true, nil)
			_ = serial.Serve(ctx, channel, system{g})
			return
		case "subsystem":
			var subsystem struct{ Name string }
			if err := ssh.Unmarshal(request.Payload, &subsystem); err != nil || subsystem.Name != "sftp" {
				_ = request.Reply(false, nil)
				continue
			}
			_ = request.Reply(true, nil)
			// Serve ends with the channel; its error says how the peer left.
			_ = sftp.NewRequestServer(channel, g.files).Serve()
			exitStatus(channel, 0)
			return
		case "pty-req", "env", "window-change":
			_ = request.Reply(true, nil)
		default:
			_ = request.Reply(false, nil)
		}
	}
}

// notFound is the exit status of a shell for an unknown command.
const notFound = 127

func (g *Guest) execute(channel ssh.Channel, line string) uint32 {
	if !serial.IsCommand(line) {
		_, _ = fmt.Fprintf(channel.Stderr(), "%s: command not found\n", line)
		return notFound
	}
	output, _ := serial.Shell{System: system{g}}.Run(line)
	_, _ = io.WriteString(channel, output)
	return 0
}

func exitStatus(channel ssh.Channel, status uint32) {
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
}
