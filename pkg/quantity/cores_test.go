package quantity

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestCores(t *testing.T) {
	for text, want := range map[string]uint32{
		"1": 1, "2": 2, "2.0": 2, "2000m": 2, "1k": 1000, "1Ki": 1024, "1024": 1024, "1e3": 1000, "1E2": 100, "4000000u": 4, "0.5k": 500, "+3": 3, "007": 7,
		" 2 ": 2, "2000000000n": 2,
	} {
		cores, err := Cores(intstr.FromString(text))
		assert.NoError(t, err, text)
		assert.Equal(t, want, cores, text)
	}
	cores, err := Cores(intstr.FromInt32(64))
	assert.NoError(t, err)
	assert.EqualValues(t, 64, cores)

	for text, message := range map[string]string{
		"": "whole number", "two": "whole number", "1 core": "whole number", "2,0": "whole number", "0x2": "whole number", "1.5": "whole cores", "500m": "whole cores",
		"2500m": "whole cores", "1e-1": "whole cores", "1n": "whole cores", "1023.9999": "whole cores", "0": "from 1", "0m": "from 1", "-1": "from 1", "-0.5": "from 1",
		"1025": "from 1 to 1024", "2k": "from 1 to", "1E30": "from 1 to", "1024.1": "from 1 to", "9223372036854775808": "from 1 to",
	} {
		_, err := Cores(intstr.FromString(text))
		assert.ErrorContains(t, err, message, text)
	}
	for _, number := range []int32{0, -1, 1025} {
		_, err := Cores(intstr.FromInt32(number))
		assert.ErrorContains(t, err, "from 1", number)
	}
}
