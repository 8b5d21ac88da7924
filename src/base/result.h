#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace mynah {

// Why something the host or the operator did could not be done. The message names the object
// (option, file, address) and says what was expected; it is shown to the user as it stands.
class Error {
 public:
    explicit Error(std::string message) : message_(std::move(message)) {}
    const std::string& message() const { return message_; }

 private:
    std::string message_;
};

// A value or an Error. For failures of the host or the operator only: what a guest does wrong is
// answered the way the architecture says, what we do wrong is a CHECK.
template <typename T>
class [[nodiscard]] Result {
 public:
    Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const { return content_.index() == 0; }
    explicit operator bool() const { return ok(); }

    T& value() { return *std::get_if<0>(&content_); }
    const T& value() const { return *std::get_if<0>(&content_); }
    const Error& error() const { return *std::get_if<1>(&content_); }

    T take_value() { return std::move(value()); }
    Error take_error() { return std::move(*std::get_if<1>(&content_)); }

 private:
    std::variant<T, Error> content_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    bool ok() const { return !error_.has_value(); }
    explicit operator bool() const { return ok(); }
    const Error& error() const { return *error_; }

    void take_value() {}
    Error take_error() { return std::move(*error_); }

 private:
    std::optional<Error> error_;
};

}  // namespace mynah

// The value of a Result, or a return of its error from the enclosing function.
#define TRY(expression)                                           \
    __extension__({                                               \
        auto&& try_result_ = (expression);                        \
        if (!try_result_.ok()) return try_result_.take_error();   \
        try_result_.take_value();                                 \
    })
