#include "machine/accelerator.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/engine.h"

namespace mynah {
namespace {

using Accelerator = MachineConfig::Accelerator;

constexpr std::array kNames{
    std::pair{Accelerator::kAuto, std::string_view("auto")},
    std::pair{Accelerator::kKvm, std::string_view("kvm")},
    std::pair{Accelerator::kTranslator, std::string_view("jit")},
    std::pair{Accelerator::kInterpreter, std::string_view("interpreter")},
};

}  // namespace

std::string_view name_of(Accelerator accelerator) {
    const auto found = std::ranges::find(kNames, accelerator, [](const auto& e) { return e.first; });
    return found == kNames.end() ? "unknown" : found->second;
}

std::optional<Accelerator> accelerator_named(std::string_view name) {
    const auto found = std::ranges::find(kNames, name, [](const auto& e) { return e.second; });
    if (found == kNames.end()) return std::nullopt;
    return found->first;
}

Accelerator what_auto_means(Accelerator accelerator) {
    if (accelerator != Accelerator::kAuto) return accelerator;
    return translator_usable() ? Accelerator::kTranslator : Accelerator::kInterpreter;
}

}  // namespace mynah
