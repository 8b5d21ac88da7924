#include "control/qmp_session.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "control/qmp_commands.h"

namespace mynah {
namespace {

using nlohmann::json;

struct Failure {
    const char* kind;  // a class that clients know [QMP 2.4.2]
    std::string why;
};

constexpr const char* kGeneric = "GenericError";
constexpr const char* kNotFound = "CommandNotFound";

// Names come from the client and need not be UTF-8.
std::string line(const json& value) {
    return value.dump(-1, ' ', true, json::error_handler_t::replace) + "\r\n";
}

std::string failure_line(const Failure& failure, const json& id) {
    json out{{"error", {{"class", failure.kind}, {"desc", failure.why}}}};
    if (!id.is_null()) out["id"] = id;
    return line(out);
}

// The members of a request: what to execute, for what, and the client's mark.
std::optional<Failure> check_request(const json& request) {
    for (const auto& [key, value] : request.items()) {
        if (key != "execute" && key != "arguments" && key != "id")
            return Failure{kGeneric, fmt::format("QMP input member '{}' is unexpected", key)};
    }
    const auto execute = request.find("execute");
    if (execute == request.end()) return Failure{kGeneric, "QMP input lacks member 'execute'"};
    if (!execute->is_string())
        return Failure{kGeneric, "QMP input member 'execute' must be a string"};
    const auto arguments = request.find("arguments");
    if (arguments != request.end() && !arguments->is_object())
        return Failure{kGeneric, "QMP input member 'arguments' must be an object"};
    return std::nullopt;
}

}  // namespace

QmpSession::QmpSession(ControlledMachine& machine) : machine_(machine) {
    output_ = line({{"QMP", {{"version", qmp_version()}, {"capabilities", json::array()}}}});
}

std::string QmpSession::take_output() { return std::exchange(output_, {}); }

bool QmpSession::receive(std::string_view bytes) {
    framer_.add(bytes);
    while (const auto frame = framer_.next()) {
        switch (frame->kind) {
            case JsonFramer::Kind::kObject:
                answer(frame->text);
                break;
            case JsonFramer::Kind::kJunk:
                output_ += failure_line({kGeneric, "QMP input must be a JSON object"}, nullptr);
                break;
            case JsonFramer::Kind::kTooMuch:
                output_ += failure_line({kGeneric, "QMP input is too long or too deep"}, nullptr);
                return false;
        }
    }
    return true;
}

void QmpSession::answer(const std::string& text) {
    const json request = json::parse(text, nullptr, false);
    if (request.is_discarded()) {
        output_ += failure_line({kGeneric, "Invalid JSON syntax"}, nullptr);
        return;
    }
    const json id = request.value("id", json());
    const auto fail = [&](const Failure& failure) { output_ += failure_line(failure, id); };
    if (const auto failure = check_request(request)) return fail(*failure);

    const std::string& name = request["execute"].get_ref<const std::string&>();
    json answer = json::object();
    if (name == "qmp_capabilities") {
        if (negotiated_) {
            return fail(
                {kNotFound, "Capabilities negotiation is already complete, command ignored"});
        }
        negotiated_ = true;
    } else {
        const QmpCommand* const command = find_qmp_command(name);
        if (command == nullptr)
            return fail({kNotFound, fmt::format("The command {} has not been found", name)});
        if (!negotiated_) {
            return fail({kNotFound, "Expecting capabilities negotiation with 'qmp_capabilities'"});
        }
        const json arguments = request.value("arguments", json::object());
        if (const auto checked = check_qmp_arguments(*command, arguments); !checked)
            return fail({kGeneric, checked.error().message()});
        auto result = command->execute(machine_, arguments);
        if (!result) return fail({kGeneric, result.error().message()});
        answer = result.take_value();
    }
    json out{{"return", std::move(answer)}};
    if (!id.is_null()) out["id"] = id;
    output_ += line(out);
}

}  // namespace mynah
