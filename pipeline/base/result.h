// Result<T> and Error: the one way operating errors travel in triaged.
//
// A Result holds either a value or an Error; nothing throws across a function boundary except std::bad_alloc. A caller
// that drops a Result is stopped by [[nodiscard]]; swallowing one on purpose takes IgnoreError(), which one can grep for.
// Thread-safety: values, like std::string.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "pipeline/base/check.h"

namespace triaged {

// What kind of failure it was; says what the shell does next (ARCHITECTURE: three error classes).
enum class ErrorClass {
  kBadInput,     // the data is wrong: dead letter or refusal; never retried
  kEnvironment,  // broker, disk, network: abort, back off, retry
  kInvariant,    // we are wrong: exit non-zero, the supervisor restarts us
};

struct Error {
  ErrorClass kind = ErrorClass::kEnvironment;
  std::string message;  // what, where, and what to do
};

inline Error BadInput(std::string message) { return {ErrorClass::kBadInput, std::move(message)}; }
inline Error EnvironmentError(std::string message) { return {ErrorClass::kEnvironment, std::move(message)}; }

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Precondition: ok().
  T& value() & { TRIAGED_CHECK(ok()); return std::get<0>(state_); }
  const T& value() const& { TRIAGED_CHECK(ok()); return std::get<0>(state_); }
  T&& value() && { TRIAGED_CHECK(ok()); return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Precondition: !ok().
  const Error& error() const { TRIAGED_CHECK(!ok()); return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

// The outcome of an operation that yields no value.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { TRIAGED_CHECK(!ok()); return *error_; }
  void IgnoreError() const {}

 private:
  std::optional<Error> error_;
};

}  // namespace triaged
