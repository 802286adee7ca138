// Command check-layout enforces the rules of this repository that no linter knows: who may import whom, how long a
// file and a function may be, how packages may be named, and that exported names are documented.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

const (
	module           = "tensorstack.dev/virtualserver/"
	maxFileLines     = 400
	maxFunctionLines = 80
)

// importRule forbids files below From to import what starts with Forbidden.
type importRule struct {
	From, Forbidden, Except, Why string
}

func importRules() []importRule {
	return []importRule{
		{From: "", Forbidden: "kubevirt.io/client-go", Except: "pkg/kubevirt", Why: "only pkg/kubevirt talks to KubeVirt's client"},
		{From: "pkg/registry", Forbidden: module + "pkg/controller", Why: "the registry must not know the controller"},
		{From: "pkg/controller", Forbidden: module + "pkg/registry", Why: "the controller must not know the registry"},
		{From: "pkg", Forbidden: module + "test", Why: "the product must not depend on tests"},
		{From: "cmd", Forbidden: module + "test", Why: "the product must not depend on tests"},
		{From: "pkg/runstrategy", Forbidden: "k8s.io/client-go", Why: "a pure package has no clients"},
		{From: "pkg/naming", Forbidden: "k8s.io/client-go", Why: "a pure package has no clients"},
		{From: "pkg/home", Forbidden: "k8s.io/client-go", Why: "a pure package has no clients"},
		{From: "pkg/translate", Forbidden: "k8s.io/client-go", Why: "a pure package has no clients"},
		{From: "pkg/scratch", Forbidden: "k8s.io/client-go", Why: "a pure package has no clients"},
		{From: "pkg/status", Forbidden: "k8s.io/client-go", Why: "a pure package has no clients"},
		{From: "pkg/apis", Forbidden: "k8s.io/client-go", Why: "API types have no clients"},
	}
}

func main() {
	problems, err := check(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "check-layout:", err)
		os.Exit(1)
	}
	sort.Strings(problems)
	for _, problem := range problems {
		fmt.Println(problem)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

// check returns one line for every broken rule below root.
func check(root string) ([]string, error) {
	var problems []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "generated" || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasPrefix(entry.Name(), "zz_generated") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		found, err := checkFile(filepath.ToSlash(relative), source)
		problems = append(problems, found...)
		return err
	})
	return problems, err
}

func checkFile(path string, source []byte) ([]string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var problems []string
	complain := func(pos token.Pos, format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s:%d: %s", path, files.Position(pos).Line, fmt.Sprintf(format, args...)))
	}
	if lines := strings.Count(string(source), "\n"); lines > maxFileLines {
		complain(file.Pos(), "%d lines; split the file by what it does (at most %d)", lines, maxFileLines)
	}
	switch strings.TrimSuffix(file.Name.Name, "_test") {
	case "util", "utils", "common", "helper", "helpers", "misc":
		complain(file.Name.Pos(), "package %s is named for nothing in particular", file.Name.Name)
	}
	checkImports(path, file, complain)
	for _, declaration := range file.Decls {
		checkDeclaration(path, files, declaration, complain)
	}
	return problems, nil
}

func checkImports(path string, file *ast.File, complain func(token.Pos, string, ...any)) {
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		for _, rule := range importRules() {
			if !below(path, rule.From) || rule.Except != "" && below(path, rule.Except) {
				continue
			}
			if imported == rule.Forbidden || strings.HasPrefix(imported, rule.Forbidden+"/") {
				complain(spec.Pos(), "imports %s: %s", imported, rule.Why)
			}
		}
	}
}

func checkDeclaration(path string, files *token.FileSet, declaration ast.Decl, complain func(token.Pos, string, ...any)) {
	test := strings.HasSuffix(path, "_test.go")
	switch declared := declaration.(type) {
	case *ast.FuncDecl:
		if lines := files.Position(declared.End()).Line - files.Position(declared.Pos()).Line; lines > maxFunctionLines && !test {
			complain(declared.Pos(), "function %s has %d lines (at most %d)", declared.Name.Name, lines, maxFunctionLines)
		}
		if declared.Name.IsExported() && declared.Recv == nil && declared.Doc == nil && !test {
			complain(declared.Pos(), "exported function %s has no comment", declared.Name.Name)
		}
	case *ast.GenDecl:
		if test || declared.Doc != nil {
			return
		}
		for _, spec := range declared.Specs {
			if name := undocumented(spec); name != "" {
				complain(spec.Pos(), "exported %s has no comment", name)
			}
		}
	}
}

// undocumented returns the exported name that spec declares without a comment, or "".
func undocumented(spec ast.Spec) string {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() && spec.Doc == nil && spec.Comment == nil {
			return spec.Name.Name
		}
	case *ast.ValueSpec:
		if spec.Names[0].IsExported() && spec.Doc == nil && spec.Comment == nil {
			return spec.Names[0].Name
		}
	}
	return ""
}

func below(path, folder string) bool {
	return folder == "" || strings.HasPrefix(path, folder+"/")
}
