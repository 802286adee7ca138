package disruption

import (
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"tensorstack.dev/virtualserver/test/framework"
)

const (
	// consoles is more than there are seats for ServiceAccounts in a kube-apiserver with its default settings.
	consoles = 260
	// users is how many users they belong to. One user has not so many, and would queue behind the others.
	users = 13
)

// seats reads how many requests of a level kube-apiserver carries out now.
func seats(e *framework.Environment, level string) (int, error) {
	text, err := e.Kube.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(e.Context)
	if err != nil {
		return 0, err
	}
	// One level may have several schemas, and a line each.
	line := regexp.MustCompile(`(?m)^apiserver_flowcontrol_current_executing_seats\{[^}]*priority_level="` + level + `"[^}]*\} (\d+)$`)
	sum := 0
	for _, found := range line.FindAllSubmatch(text, -1) {
		seats, err := strconv.Atoi(string(found[1]))
		if err != nil {
			return 0, err
		}
		sum += seats
	}
	return sum, nil
}

// So many open consoles leave the ServiceAccounts of the cluster the seats that they need.
func TestManyOpenConsolesStarveNobody(t *testing.T) {
	e := framework.New(t)
	e.Faults(map[string]string{"import": "stall"})
	e.Create(framework.Minimal("machine"))
	client, err := kubernetes.NewForConfig(e.UserInRole("other", "view").Config)
	require.NoError(t, err)
	var operators []*framework.User
	for number := range users {
		operators = append(operators, e.UserInRole(fmt.Sprintf("operator-%d", number), "edit"))
	}
	open := func(number int) (*websocket.Conn, error) {
		// The websocket is open for as long as it waits for the machine.
		connection, response, err := framework.Dial(e.Context, operators[number%users].Config,
			framework.Path(e.Namespace)+"/machine/console?wait=300")
		if err != nil && response != nil {
			err = fmt.Errorf("%s: %w", response.Status, err)
		}
		return connection, err
	}

	var opening sync.WaitGroup
	opened := make(chan error, consoles)
	for number := range consoles {
		opening.Go(func() {
			connection, err := open(number)
			if err == nil {
				t.Cleanup(func() { _ = connection.Close() })
			}
			opened <- err
		})
	}
	opening.Wait()
	close(opened)
	for err := range opened {
		require.NoError(t, err)
	}
	held, err := seats(e, "virtualserver-streams")
	require.NoError(t, err)
	assert.GreaterOrEqual(t, held, consoles)

	for range 50 {
		started := time.Now()
		_, err := client.CoreV1().ConfigMaps(e.Namespace).List(e.Context, metav1.ListOptions{})
		require.NoError(t, err)
		assert.Less(t, time.Since(started), 5*time.Second)
	}
	e.Eventually("a console more opens", func() error {
		connection, err := open(0)
		if err != nil {
			return err
		}
		return connection.Close()
	})
}
