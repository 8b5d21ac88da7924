#include "engine/kvm_probe/engine_choice.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/engine.h"
#include "engine/kvm_probe/engine_speed.h"

namespace mynah {
namespace {

constexpr std::chrono::milliseconds kEach{7};
// Of the file's form and of the loop: what another version measured is not taken.
constexpr std::string_view kForm = "mynah-engines-1";

// One line: form, the host's boot, the speeds (0: none).
std::string cache_path(const std::string& folder) { return folder + "/speeds"; }

bool read_cache(const std::string& folder, const std::string& boot, EngineMeasures& measures) {
    std::ifstream file(cache_path(folder));
    std::string form, of_boot;
    double kvm = 0, translator = 0;
    if (!(file >> form >> of_boot >> kvm >> translator)) return false;
    if (form != kForm || of_boot != boot || !(kvm >= 0) || !(translator >= 0)) return false;
    // A KVM that came later, or could be opened later, is measured then.
    if (measures.kvm.usable() && kvm == 0) return false;
    if (measures.kvm.usable()) measures.kvm_speed = kvm;
    if (translator > 0) measures.translator_speed = translator;
    measures.from_cache = true;
    return true;
}

// Whole or not at all; that it fails costs the next start some milliseconds.
void write_cache(const std::string& folder, const std::string& boot,
                 const EngineMeasures& measures) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    const std::string unfinished = fmt::format("{}.{}", cache_path(folder), getpid());
    {
        std::ofstream file(unfinished);
        file << fmt::format("{} {} {:.0f} {:.0f}\n", kForm, boot, measures.kvm_speed.value_or(0),
                            measures.translator_speed.value_or(0));
        if (!file.flush()) error = std::make_error_code(std::errc::io_error);
    }
    if (!error) std::filesystem::rename(unfinished, cache_path(folder), error);
    if (error) std::filesystem::remove(unfinished, error);
}

void measure(SystemCalls& calls, EngineMeasures& measures) {
    if (translator_usable()) {
        if (const auto speed = translator_speed(kEach)) measures.translator_speed = speed.value();
    }
    if (!measures.kvm.usable()) return;
    const auto speed = kvm_speed(calls, kEach);
    if (speed) {
        measures.kvm_speed = speed.value();
    } else {
        measures.measuring_failed = speed.error().message();
    }
}

void judge(EngineMeasures& measures) {
    using Kind = KvmVerdict::Kind;
    if (!measures.measuring_failed.empty()) {
        measures.kvm = {Kind::kNoMachine,
                        fmt::format("KVM cannot run a machine: {}", measures.measuring_failed),
                        "dmesg may say why; or use --accel jit", "sudo dmesg | grep -i kvm"};
    } else if (measures.kvm_speed && measures.translator_speed &&
               *measures.kvm_speed < kLeastShare * *measures.translator_speed) {
        measures.kvm = {
            Kind::kEmulated,
            fmt::format("/dev/kvm is there but emulated: a guest's kernel runs at {:.1f} million "
                        "instructions a second, by the translator at {:.0f} million",
                        *measures.kvm_speed / 1e6, *measures.translator_speed / 1e6),
            "use --accel jit; or --accel kvm,slow=on to have it all the same", ""};
    }
}

}  // namespace

EngineMeasures measure_engines(SystemCalls& calls, const HostFiles& files,
                               const std::string& cache_folder) {
    EngineMeasures measures;
    measures.kvm = kvm_preflight(calls, files);
    const std::string boot = files.read("/proc/sys/kernel/random/boot_id").value_or("");
    const bool keep = !cache_folder.empty() && !boot.empty();
    if (!keep || !read_cache(cache_folder, boot, measures)) {
        measure(calls, measures);
        if (keep && measures.measuring_failed.empty()) write_cache(cache_folder, boot, measures);
    }
    judge(measures);
    return measures;
}

EngineChoice choose_engine(const EngineMeasures& measures) {
    const auto million = [](const std::optional<double>& speed) {
        return speed ? fmt::format("{:.4g} million instructions a second", *speed / 1e6)
                     : std::string("not usable");
    };
    const EngineKind own =
        measures.translator_speed ? EngineKind::kTranslator : EngineKind::kInterpreter;
    const char* const own_name =
        own == EngineKind::kTranslator ? "jit" : "interpreter (no AVX or BMI2 for jit)";
    const std::string translator =
        fmt::format("jit {}{}", million(measures.translator_speed),
                    measures.from_cache ? " (measured earlier)" : "");
    if (!measures.kvm.usable()) {
        // Both speeds are in the verdict about an emulated one.
        const bool said = measures.kvm.kind == KvmVerdict::Kind::kEmulated;
        return {own, fmt::format("--accel auto chose {}: {}{}{}; --accel names another", own_name,
                                 measures.kvm.wrong, said ? "" : "; ", said ? "" : translator)};
    }
    const std::string kvm = fmt::format("kvm {}", million(measures.kvm_speed));
    return {EngineKind::kKvm, fmt::format("--accel auto chose kvm: {}, {}; --accel names another",
                                          kvm, translator)};
}

}  // namespace mynah
