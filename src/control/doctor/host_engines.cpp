#include <fmt/core.h>

#include "control/doctor/host_examinations.h"

namespace mynah {

using State = HostFinding::State;

void examine_engines(const HostView& host, std::vector<HostFinding>& findings) {
    const EngineMeasures& engines = host.engines;
    const auto million = [](double speed) {
        return fmt::format("{:.4g} million instructions a second of a guest's kernel", speed / 1e6);
    };
    const bool jit = engines.translator_speed.has_value();
    findings.push_back(
        {"engine jit", jit ? State::kWorks : State::kMissing,
         jit ? million(*engines.translator_speed)
             : "the host's processor has no AVX or BMI2, or executable memory is refused",
         ""});
    findings.push_back({"engine interpreter", State::kWorks, "runs everywhere, slowly", ""});
    const KvmVerdict& kvm = engines.kvm;
    if (!kvm.usable()) {
        findings.push_back({"engine kvm", State::kMissing, kvm.wrong + "; " + kvm.remedy,
                            kvm.command});
    } else {
        findings.push_back({"engine kvm", State::kWorks,
                            million(engines.kvm_speed.value_or(0)), ""});
    }
    findings.push_back(
        {"--accel auto", State::kWorks, choose_engine(engines).line, ""});
}

}  // namespace mynah
