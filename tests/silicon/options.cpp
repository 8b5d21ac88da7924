#include "silicon/options.h"

#include <fmt/format.h>

namespace mynah::silicon {

std::string again(const Options& options, const std::string& engine, uint64_t number) {
    const char* mode = options.faults ? " --faults" : options.blocks ? " --blocks" : "";
    return fmt::format("mynah-silicon{} --seed {} --case {} --cpu {} --engine {}", mode,
                       *options.seed, number, options.cpu, engine);
}

std::string ending_name(const Ending& ending) {
    if (ending.vector == Ending::kCompleted) return "completed";
    if (ending.vector == Ending::kLost) return "lost";
    return fmt::format("raised exception {}", ending.vector);
}

}  // namespace mynah::silicon
