#pragma once

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "control/controlled_machine.h"

namespace mynah {

// A command of QMP: what may be executed once capabilities are negotiated.
struct QmpCommand {
    enum class Type : uint8_t { kString, kBoolean, kInteger };
    struct Argument {
        std::string_view name;
        bool needed;
        Type type = Type::kString;
    };
    std::string_view name;
    std::array<Argument, 5> arguments;  // an empty name: none
    // arguments: an object with values of these types under these names, and no others.
    Result<nlohmann::json> (*execute)(ControlledMachine& machine, const nlohmann::json& arguments);
};

std::span<const QmpCommand> qmp_commands();
const QmpCommand* find_qmp_command(std::string_view name);

// Error: what is wrong with the arguments of this command.
Result<void> check_qmp_arguments(const QmpCommand& command, const nlohmann::json& arguments);

// What the greeting and query-version tell.
nlohmann::json qmp_version();

}  // namespace mynah
