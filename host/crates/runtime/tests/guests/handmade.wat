;; The component of handmade.rs, which fills in the names in braces.
(component
  (import "everstate:functions/types@0.1.0" (instance $types
    (type $id (record (field "name" string) (field "key" string)))
    (export "entity-id" (type (eq $id)))
    (type $inner (record
      (field "error-type" string)
      (field "error-message" string)
      (field "stack-trace" (option string))))
    (export "inner-failure" (type $inner-failure (eq $inner)))
    (type $fail (record
      (field "error-type" string)
      (field "error-message" string)
      (field "stack-trace" (option string))
      (field "inner-failures" (list $inner-failure))
      (field "is-non-retriable" bool)
      (field "properties" (list (tuple string string)))))
    (export "failure" (type (eq $fail)))
    (type $error (variant
      (case "invalid-argument" string)
      (case "not-supported" string)
      (case "limit-exceeded" string)
      (case "not-found" string)
      (case "conflict" string)
      (case "overloaded" string)
      (case "busy" string)))
    (export "host-error" (type (eq $error)))))
  (alias export $types "entity-id" (type $entity-id))
  (alias export $types "failure" (type $failure))
  (alias export $types "host-error" (type $host-error))

  (import "everstate:functions/entity-context@0.1.0" (instance $context
    (alias outer 1 $entity-id (type $outer-id))
    (export "entity-id" (type $id (eq $outer-id)))
    (alias outer 1 $host-error (type $outer-error))
    (export "host-error" (type $error (eq $outer-error)))
    (export "get-state" (func (result (option string))))
    (export "set-state" (func (param "state" string) (result (result (error $error)))))
    (export "delete-state" (func))
    (export "set-state-version" (func (param "version" u32)))
    (export "set-indexes" (func
      (param "values" (list (tuple string string)))
      (result (result (error $error)))))
    (export "set-time-to-live" (func (param "span" (option u64))))
    (export "signal-entity" (func
      (param "entity" $id)
      (param "operation" string)
      (param "input" (option string))
      (param "at" (option u64))
      (result (result (error $error)))))
    (export "start-orchestration" (func
      (param "name" string)
      (param "input" string)
      (param "instance-id" (option string))
      (result (result string (error $error)))))))

  (core module $memory
    (memory (export "memory") 16)
    (data (i32.const 4096) "{{DATA}}")
    ;; Everything that is given to a call lies from here on, and is gone after it.
    (global $top (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (local.get $at))
    (func (export "reset") (param i32)
      (global.set $top (i32.const 65536))))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))

  (core func $get-state
    (canon lower (func $context "get-state") (memory $mem) (realloc $realloc)))
  (core func $set-state
    (canon lower (func $context "set-state") (memory $mem) (realloc $realloc)))
  (core func $delete-state (canon lower (func $context "delete-state")))
  (core func $set-state-version (canon lower (func $context "set-state-version")))
  (core func $set-indexes
    (canon lower (func $context "set-indexes") (memory $mem) (realloc $realloc)))
  (core func $set-time-to-live (canon lower (func $context "set-time-to-live")))
  (core func $signal-entity
    (canon lower (func $context "signal-entity") (memory $mem) (realloc $realloc)))
  (core func $start-orchestration
    (canon lower (func $context "start-orchestration") (memory $mem) (realloc $realloc)))

  (core module $main
    (import "memory" "memory" (memory 16))
    (import "context" "get-state" (func $get-state (param i32)))
    (import "context" "set-state" (func $set-state (param i32 i32 i32)))
    (import "context" "delete-state" (func $delete-state))
    (import "context" "set-state-version" (func $set-state-version (param i32)))
    (import "context" "set-indexes" (func $set-indexes (param i32 i32 i32)))
    (import "context" "set-time-to-live" (func $set-time-to-live (param i32 i64)))
    (import "context" "signal-entity" (func $signal-entity
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32)))
    (import "context" "start-orchestration" (func $start-orchestration
      (param i32 i32 i32 i32 i32 i32 i32 i32)))

    ;; At 0: the result of an operation. At 64: the answer of the host. At 128: one index.
    (data (i32.const 256) "colornull")

    (func (export "describe") (result i32) (i32.const {{FUNCTIONS}}))
    (func (export "describe-entities") (result i32) (i32.const {{OPTIONS}}))
    (func (export "trapping") (result i32) unreachable)
    (func (export "other") (result i32) (i32.const 1))

    (func $is (param $operation i32) (param $letter i32) (result i32)
      (i32.eq (i32.load8_u (local.get $operation)) (local.get $letter)))

    ;; What the host refused becomes the result.
    (func $refusal
      (if (i32.load8_u (i32.const 64))
        (then
          (i32.store (i32.const 4) (i32.const 1))
          (i32.store (i32.const 8) (i32.load (i32.const 72)))
          (i32.store (i32.const 12) (i32.load (i32.const 76))))))

    (func (export "invoke")
      (param $name i32) (param $name-len i32) (param $key i32) (param $key-len i32)
      (param $operation i32) (param $operation-len i32)
      (param $has-input i32) (param $input i32) (param $input-len i32)
      (param i32 i32)
      (result i32)
      (local $rounds i32)
      (i64.store (i32.const 0) (i64.const 0))
      (i64.store (i32.const 8) (i64.const 0))
      (i32.store (i32.const 64) (i32.const 0))
      (if (call $is (local.get $operation) (i32.const 115)) ;; s
        (then (call $set-state (local.get $input) (local.get $input-len) (i32.const 64))))
      (if (call $is (local.get $operation) (i32.const 103)) ;; g
        (then
          (call $get-state (i32.const 64))
          (i32.store (i32.const 4) (i32.load8_u (i32.const 64)))
          (i32.store (i32.const 8) (i32.load (i32.const 68)))
          (i32.store (i32.const 12) (i32.load (i32.const 72)))
          (return (i32.const 0))))
      (if (call $is (local.get $operation) (i32.const 100)) ;; d
        (then (call $delete-state)))
      (if (call $is (local.get $operation) (i32.const 118)) ;; v
        (then (call $set-state-version (i32.const 7))))
      (if (call $is (local.get $operation) (i32.const 105)) ;; i
        (then
          (i32.store (i32.const 128) (i32.const 256))
          (i32.store (i32.const 132) (i32.const 5))
          (i32.store (i32.const 136) (local.get $input))
          (i32.store (i32.const 140) (local.get $input-len))
          (call $set-indexes (i32.const 128) (i32.const 1) (i32.const 64))))
      (if (call $is (local.get $operation) (i32.const 116)) ;; t
        (then (call $set-time-to-live (i32.const 1) (i64.const 5))))
      (if (call $is (local.get $operation) (i32.const 101)) ;; e
        (then
          (call $signal-entity
            (local.get $name) (local.get $name-len) (local.get $key) (local.get $key-len)
            (local.get $operation) (local.get $operation-len)
            (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 1) (i64.const 9)
            (i32.const 64))))
      (if (call $is (local.get $operation) (i32.const 111)) ;; o
        (then
          (call $start-orchestration
            (i32.const 256) (i32.const 5) (i32.const 261) (i32.const 4)
            (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 64))))
      (if (call $is (local.get $operation) (i32.const 108)) ;; l
        (then
          (loop $again
            (local.set $rounds (i32.add (local.get $rounds) (i32.const 1)))
            (i32.store (i32.const 200) (local.get $rounds))
            (br_if $again (i32.lt_u (local.get $rounds) (i32.const 200000000))))))
      (if (call $is (local.get $operation) (i32.const 120)) ;; x
        (then unreachable))
      (call $refusal)
      (i32.const 0)))
  (core instance $main (instantiate $main
    (with "memory" (instance $memory))
    (with "context" (instance
      (export "get-state" (func $get-state))
      (export "set-state" (func $set-state))
      (export "delete-state" (func $delete-state))
      (export "set-state-version" (func $set-state-version))
      (export "set-indexes" (func $set-indexes))
      (export "set-time-to-live" (func $set-time-to-live))
      (export "signal-entity" (func $signal-entity))
      (export "start-orchestration" (func $start-orchestration))))))

  (type $http-trigger' (record (field "methods" (list string)) (field "route" string)))
  (export $http-trigger "http-trigger" (type $http-trigger'))
  (type $function-kind' (variant
    (case "orchestrator")
    (case "entity")
    (case "activity")
    (case "http" $http-trigger)))
  (export $function-kind "function-kind" (type $function-kind'))
  (type $function' (record (field "name" string) (field "kind" $function-kind)))
  (export $function "function" (type $function'))
  (func $describe (result (list $function))
    (canon lift (core func $main "describe") (memory $mem)))
  (instance $describes
    (export "http-trigger" (type $http-trigger))
    (export "function-kind" (type $function-kind))
    (export "function" (type $function))
    (export "describe" (func $describe)))
  (export "everstate:functions/describe@0.1.0" (instance $describes))

  (type $entity-options' (record
    (field "name" string)
    (field "read-only-operations" (list string))
    (field "time-to-live" (option u64))
    (field "indexes" (list string))))
  (export $entity-options "entity-options" (type $entity-options'))
  (func $describe-entities (result (list $entity-options))
    (canon lift (core func $main "describe-entities") (memory $mem)))
  (func $trapping (result (list $entity-options))
    (canon lift (core func $main "trapping") (memory $mem)))
  (func $other (result u32) (canon lift (core func $main "other")))
  (instance $describes-entities {{DESCRIBE_ENTITIES}})
  (export "everstate:functions/describe-entities@0.1.0" (instance $describes-entities))

  (type $operation' (record
    (field "entity" $entity-id)
    (field "name" string)
    (field "input" (option string))
    (field "batch-size" u32)
    (field "batch-position" u32)))
  (export $operation "operation" (type $operation'))
  (func $invoke (param "operation" $operation)
    (result (result (option string) (error $failure)))
    (canon lift (core func $main "invoke")
      (memory $mem) (realloc $realloc) (post-return (func $memory "reset"))))
  (instance $entity (export "operation" (type $operation)) (export "invoke" (func $invoke)))
  (export "everstate:functions/entity@0.1.0" (instance $entity)))
