package typecheck_test

import (
	"encoding/json"
	"math/rand"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	kjson "sigs.k8s.io/json"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/fuzzer"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/typecheck"
)

var virtualServer = reflect.TypeFor[v1beta1.VirtualServer]()

func TestProblems(t *testing.T) {
	for document, want := range map[string][]string{
		`{"spec":{"resources":{"memory":"8Gi","cpu":{"cores":2}}}}`: nil,
		`{"spec":{"resources":{"memory":8}}}`:                       nil,
		`{"unknown":1,"spec":{"unknown":[]}}`:                       nil,
		`{"spec":null}`:                                             nil,
		`not JSON`:                                                  nil,
		`{"spec":{"resources":{"memory":"16GB"}}}`:                  {`spec.resources.memory: Invalid value: "16GB" is not a quantity: write 16Gi`},
		`{"spec":{"resources":{"memory":""}}}`:                      {`spec.resources.memory: Invalid value: is empty`},
		`{"spec":{"resources":{"memory":{}}}}`:                      {`spec.resources.memory: Invalid value: must be a quantity, such as 8Gi`},
		`{"spec":{"storage":{"root":{"pvc":{"size":"40 gb"}}}}}`:    {`spec.storage.root.pvc.size: Invalid value: "40 gb" is not a quantity: write 40Gi`},
		`{"spec":{"storage":{"additionalDisks":[{"name":"a"},{"emptyDisk":{"capacity":"1TiB"}}]}}}`: {`spec.storage.additionalDisks[1].emptyDisk.capacity: Invalid value: "1TiB"`},
		`{"spec":{"resources":{"cpu":{"cores":1.5},"memory":"1,5Gi"}}}`:                             {`spec.resources.cpu.cores: Invalid value: must be a whole number, such as 2 or "2", not 1.5`, `spec.resources.memory: Invalid value: "1,5Gi"`},
		`{"spec":{"resources":{"cpu":2}}}`:                                                          {`spec.resources.cpu: Invalid value: must have fields of its own, one on each line below it, such as cores, model`},
		`{"spec":{"resources":{"gpu":{"count":"2"}}}}`:                                              {`spec.resources.gpu.count: Invalid value: must be a whole number without quotes: write 2`},
		`{"spec":{"network":{"tcp":"22"}}}`:                                                         {`spec.network.tcp: Invalid value: must be a list`},
		`{"spec":{"network":{"tcp":22}}}`:                                                           {`spec.network.tcp: Invalid value: must be a list: begin each of its lines with a dash, or write [...], not 22`},
		`{"spec":{"network":{"tcp":[22,"ssh"],"udp":[99999999999]}}}`:                               {`spec.network.tcp[1]: Invalid value: must be a whole number`, `spec.network.udp[0]: Invalid value: must be a whole number`},
		`{"spec":{"storage":{"root":{"ephemeral":"yes"}}}}`:                                         {`spec.storage.root.ephemeral: Invalid value: must be true or false`},
		`{"spec":{"storage":{"additionalDisks":{"name":"a"}}}}`:                                     {`spec.storage.additionalDisks: Invalid value: must be a list`},
		`{"spec":{"cloudInit":{"password":"hunter2"}}}`:                                             {`spec.cloudInit: Invalid value: must be text: put it in quotes`},
		`{"metadata":{"labels":{"version":1.0}}}`:                                                   {`metadata.labels[version]: Invalid value: must be text: put it in quotes, not 1.0`},
		`{"metadata":{"name":123}}`:                                                                 {`metadata.name: Invalid value: must be text: put it in quotes, not 123`},
		`{"metadata":{"creationTimestamp":"yesterday"}}`:                                            {`metadata.creationTimestamp: Invalid value: cannot be read as time`},
		`{"spec":"x"}`: {`spec: Invalid value: must have fields`},
		`[]`:           {`body: Invalid value: must have fields`},
	} {
		problems := typecheck.Problems([]byte(document), virtualServer)
		if assert.Len(t, problems, len(want), "%s: %v", document, problems) {
			for i, part := range want {
				assert.Contains(t, problems[i].Error(), part, document)
				assert.NotContains(t, problems[i].Error(), "hunter2")
			}
		}
	}
	many := `{"spec":{"network":{"tcp":[` + strings.Repeat(`"x",`, 100) + `"x"]}}}`
	assert.Len(t, typecheck.Problems([]byte(many), virtualServer), 10)
}

func TestProblemsAt(t *testing.T) {
	for pointer, test := range map[string]struct{ value, want string }{
		"/spec/resources/memory": {`"4GB"`, `spec.resources.memory: Invalid value: "4GB" is not a quantity`},
		"/spec/resources":        {`{"memory":"1 GB"}`, `spec.resources.memory: Invalid value: "1 GB"`},
		"/spec/storage/additionalDisks/3/emptyDisk/capacity": {`"x"`, `spec.storage.additionalDisks[3].emptyDisk.capacity`},
		"/spec/network/tcp/-":                                {`"ssh"`, `spec.network.tcp[0]`},
		"/metadata/labels/example.com~1a":                    {`1`, `metadata.labels[example.com/a]`},
		"/spec/resources/cpu/cores":                          {`[]`, `spec.resources.cpu.cores`},
		"/spec/cloudInit":                                    {`"x"`, ""},
		"/spec/unknown/x":                                    {`1`, ""},
		"/spec/cloudInit/x":                                  {`1`, ""},
		"/metadata/creationTimestamp/x":                      {`1`, ""},
	} {
		problems := typecheck.ProblemsAt(pointer, []byte(test.value), virtualServer)
		if test.want == "" {
			assert.Empty(t, problems, pointer)
		} else if assert.Len(t, problems, 1, pointer) {
			assert.Contains(t, problems[0].Error(), test.want)
		}
	}
}

// Every field of a random object in turn gets a value of another type. What the decoder refuses is told, with its path; what it
// takes is not.
func TestEveryField(t *testing.T) {
	wrong := []any{"8GiB", "", true, 1.5, []any{"x"}, map[string]any{"x": 1}, 99999999999999}
	refused := 0
	for seed := range int64(60) {
		random := rand.New(rand.NewSource(seed))
		encoded, err := json.Marshal(fuzzer.VirtualServer(random))
		require.NoError(t, err)
		var document map[string]any
		require.NoError(t, json.Unmarshal(encoded, &document))
		require.Empty(t, typecheck.Problems(encoded, virtualServer))
		replaceEach(document, "", func(path string, set func(any)) {
			set(wrong[random.Intn(len(wrong))])
			changed, err := json.Marshal(document)
			require.NoError(t, err)
			problems := typecheck.Problems(changed, virtualServer)
			fits := kjson.UnmarshalCaseSensitivePreserveInts(changed, &v1beta1.VirtualServer{}) == nil
			require.Equal(t, fits, len(problems) == 0, "%s: %s", path, changed)
			if !fits {
				refused++
				// Keys of a map stand in brackets.
				found := strings.NewReplacer("[", ".", "]", "").Replace(problems[0].Field)
				require.True(t, strings.HasPrefix(found, path), "%s: %v", path, problems)
			}
		})
	}
	assert.Greater(t, refused, 500)
}

// replaceEach calls replace for every field of a document, and restores it afterwards.
func replaceEach(document map[string]any, path string, replace func(path string, set func(any))) {
	for name, value := range document {
		here := strings.TrimPrefix(path+"."+name, ".")
		replace(here, func(other any) { document[name] = other })
		document[name] = value
		if inner, ok := value.(map[string]any); ok {
			replaceEach(inner, here, replace)
		}
	}
}

func FuzzProblems(f *testing.F) {
	for _, seed := range []string{`{"spec":{"resources":{"memory":"8GiB"}}}`, `[]`, `{"spec":{"storage":{"filesystems":[1]}}}`, `{`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		problems := typecheck.Problems(document, virtualServer)
		if !json.Valid(document) {
			return
		}
		fits := kjson.UnmarshalCaseSensitivePreserveInts(document, &v1beta1.VirtualServer{}) == nil
		assert.Equal(t, fits, len(problems) == 0)
	})
}
