// Command cel runs expressions by cel-go, the reference implementation of CEL. It reads lines of JSON
// {"expression", "rows": [{"inputs": {...}, "out": {...}}, ...]} and answers each with a line of JSON:
// what the expression comes to for each row ("true", "false", "failed"), or that it is none.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

type question struct {
	Expression string                      `json:"expression"`
	Rows       []map[string]map[string]any `json:"rows"`
}

type answer struct {
	Refused  string   `json:"refused,omitempty"`
	Verdicts []string `json:"verdicts"`
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "cel:", err)
		os.Exit(1)
	}
}

func serve() error {
	fields := cel.MapType(cel.StringType, cel.DynType)
	env, err := cel.NewEnv(cel.Variable("inputs", fields), cel.Variable("out", fields))
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	decoder := json.NewDecoder(in)
	decoder.UseNumber()
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	for decoder.More() {
		var asked question
		if err := decoder.Decode(&asked); err != nil {
			return err
		}
		if err := encoder.Encode(judge(env, asked)); err != nil {
			return err
		}
	}
	return out.Flush()
}

func judge(env *cel.Env, asked question) answer {
	ast, issues := env.Compile(asked.Expression)
	if issues.Err() != nil {
		return answer{Refused: issues.Err().Error()}
	}
	if kind := ast.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return answer{Refused: "gives " + kind.String()}
	}
	program, err := env.Program(ast)
	if err != nil {
		return answer{Refused: err.Error()}
	}
	verdicts := []string{}
	for _, row := range asked.Rows {
		known := map[string]any{}
		for root, values := range row {
			known[root] = plain(values)
		}
		found, _, err := program.Eval(known)
		switch {
		case err != nil || found.Type() != types.BoolType:
			verdicts = append(verdicts, "failed")
		case found == types.True:
			verdicts = append(verdicts, "true")
		default:
			verdicts = append(verdicts, "false")
		}
	}
	return answer{Verdicts: verdicts}
}

// plain gives numbers the types that their spelling says: a point or an exponent makes a double.
func plain(value any) any {
	switch known := value.(type) {
	case map[string]any:
		for name, inner := range known {
			known[name] = plain(inner)
		}
	case []any:
		for place, inner := range known {
			known[place] = plain(inner)
		}
	case json.Number:
		if strings.ContainsAny(known.String(), ".eE") {
			number, _ := known.Float64()
			return number
		}
		number, _ := known.Int64()
		return number
	}
	return value
}
