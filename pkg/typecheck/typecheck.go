// Package typecheck says which fields of a JSON document do not fit a Go type. A decoder stops at the first one, and
// often does not name it.
package typecheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"tensorstack.dev/virtualserver/pkg/quantity"
)

// Problems returns one error for every field that cannot be decoded into a value of the type, at most ten. It returns none
// for a document that can be decoded, and for what is no JSON at all. Values are repeated only if they are short numbers or
// quantities: others may be secret.
func Problems(document []byte, into reflect.Type) field.ErrorList {
	if fits(document, into) || !json.Valid(document) {
		return nil
	}
	w := &walker{}
	w.walk(document, into, nil)
	return w.found
}

// ProblemsAt does the same for a value that belongs at a JSON pointer (RFC 6901), as in a JSON patch.
func ProblemsAt(pointer string, value []byte, root reflect.Type) field.ErrorList {
	into, path := root, (*field.Path)(nil)
	for _, token := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		into = direct(into)
		switch {
		case into.Kind() == reflect.Struct && !decodesItself(into):
			member, found := members(into)[token]
			if !found {
				return nil
			}
			into, path = member, child(path, token)
		case into.Kind() == reflect.Slice && into.Elem().Kind() != reflect.Uint8:
			index, err := strconv.Atoi(token)
			if err != nil {
				index = 0
			}
			into, path = into.Elem(), at(path, index)
		case into.Kind() == reflect.Map:
			into, path = into.Elem(), key(path, token)
		default:
			return nil
		}
	}
	if fits(value, into) || !json.Valid(value) {
		return nil
	}
	w := &walker{}
	w.walk(value, into, path)
	return w.found
}

// maxProblems bounds an answer.
const maxProblems = 10

// walker descends to the parts of a document that do not fit.
type walker struct {
	found field.ErrorList
}

// fits decodes as the API server does.
func fits(document []byte, into reflect.Type) bool {
	return kjson.UnmarshalCaseSensitivePreserveInts(document, reflect.New(into).Interface()) == nil
}

// walk is called with a part that does not fit. If none of its own parts is to blame, the part itself is.
func (w *walker) walk(document []byte, into reflect.Type, path *field.Path) {
	if len(w.found) >= maxProblems {
		return
	}
	before := len(w.found)
	into = direct(into)
	switch {
	case decodesItself(into):
	case into.Kind() == reflect.Struct:
		types := members(into)
		parts := object(document)
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			part := parts[name]
			if member, known := types[name]; known && !fits(part, member) {
				w.walk(part, member, child(path, name))
			}
		}
	case into.Kind() == reflect.Map:
		parts := object(document)
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			part := parts[name]
			if !fits(part, into.Elem()) {
				w.walk(part, into.Elem(), key(path, name))
			}
		}
	case into.Kind() == reflect.Slice && into.Elem().Kind() != reflect.Uint8:
		var parts []json.RawMessage
		if json.Unmarshal(document, &parts) == nil {
			for i, part := range parts {
				if !fits(part, into.Elem()) {
					w.walk(part, into.Elem(), at(path, i))
				}
			}
		}
	}
	if len(w.found) == before {
		w.found = append(w.found, field.Invalid(orRoot(path), field.OmitValueType{}, describe(document, into)))
	}
}

func direct(into reflect.Type) reflect.Type {
	for into.Kind() == reflect.Pointer {
		into = into.Elem()
	}
	return into
}

// decodesItself says whether a type has a decoder of its own, whose inside is its own business.
func decodesItself(into reflect.Type) bool {
	return reflect.PointerTo(into).Implements(reflect.TypeFor[json.Unmarshaler]())
}

// members returns the types of the fields of a struct by their names in JSON.
func members(into reflect.Type) map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for i := range into.NumField() {
		member := into.Field(i)
		name, options, _ := strings.Cut(member.Tag.Get("json"), ",")
		switch {
		case name == "-" || !member.IsExported():
		case name == "" && (member.Anonymous || strings.Contains(options, "inline")):
			for inner, innerType := range members(direct(member.Type)) {
				types[inner] = innerType
			}
		case name == "":
			types[member.Name] = member.Type
		default:
			types[name] = member.Type
		}
	}
	return types
}

func object(document []byte) map[string]json.RawMessage {
	var parts map[string]json.RawMessage
	if json.Unmarshal(document, &parts) != nil {
		return nil
	}
	return parts
}

// describe says what a value should have been, with an example.
func describe(document []byte, into reflect.Type) string {
	document = bytes.TrimSpace(document)
	var text string
	isText := json.Unmarshal(document, &text) == nil && !bytes.Equal(document, []byte("null"))
	switch into {
	case reflect.TypeFor[resource.Quantity]():
		if problem := quantity.Problem(text); isText && problem != "" {
			return problem
		}
		return "must be a quantity, such as 8Gi"
	case reflect.TypeFor[intstr.IntOrString]():
		return "must be a whole number, such as 2 or \"2\"" + shown(document)
	}
	switch into.Kind() {
	case reflect.Bool:
		return "must be true or false without quotes"
	case reflect.Int32, reflect.Int64, reflect.Int, reflect.Uint32, reflect.Uint16, reflect.Uint64, reflect.Uint8, reflect.Int16, reflect.Int8:
		if isText {
			if _, err := strconv.ParseInt(text, 10, 32); err == nil {
				return fmt.Sprintf("must be a whole number without quotes: write %s", text)
			}
		}
		return "must be a whole number without quotes, such as 2" + shown(document)
	case reflect.Float32, reflect.Float64:
		return "must be a number without quotes, such as 0.5" + shown(document)
	case reflect.String:
		return "must be text: put it in quotes" + shown(document)
	case reflect.Slice:
		if into.Elem().Kind() == reflect.Uint8 {
			return "must be text in base64"
		}
		return "must be a list: begin each of its lines with a dash, or write [...]" + shown(document)
	case reflect.Struct, reflect.Map:
		if decodesItself(into) {
			return "cannot be read as " + strings.ToLower(into.Name())
		}
		return "must have fields of its own, one on each line below it" + fieldsOf(into)
	}
	return "cannot be read"
}

// fieldsOf names a few fields of a struct.
func fieldsOf(into reflect.Type) string {
	if into.Kind() != reflect.Struct {
		return ""
	}
	var names []string
	for name := range members(into) {
		names = append(names, name)
	}
	slices.Sort(names)
	return ", such as " + strings.Join(names[:min(len(names), 4)], ", ")
}

// shown repeats a number or a word of truth, which is no secret.
func shown(document []byte) string {
	const longest = 30
	if len(document) > longest || !json.Valid(document) || bytes.ContainsAny(document, "\"{[") {
		return ""
	}
	return ", not " + string(document)
}

func child(path *field.Path, name string) *field.Path {
	if path == nil {
		return field.NewPath(name)
	}
	return path.Child(name)
}

func at(path *field.Path, index int) *field.Path { return orRoot(path).Index(index) }

func key(path *field.Path, name string) *field.Path { return orRoot(path).Key(name) }

// orRoot is the path of the document itself, which has no name.
func orRoot(path *field.Path) *field.Path {
	if path == nil {
		return field.NewPath("body")
	}
	return path
}
