#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/interpreter/host_vector.h"
#include "engine/translator/processor.h"

namespace mynah {
namespace {

constexpr uint64_t kLeastCache = uint64_t{1} << 20;
// Of the cache's size, for what runs a few times only, decoded for the interpreter.
constexpr uint64_t kColdShare = 4;

class TranslatorEngine final : public Engine {
  public:
    TranslatorEngine(GuestMemory& memory, const CpuidPolicy& cpuid,
                     const TranslatorOptions& options,
                     std::unique_ptr<interpreter::HostVectorUnit> vectors,
                     std::vector<std::unique_ptr<translator::CodeMemory>> caches)
        : options_(options),
          vectors_(std::move(vectors)),
          caches_(std::move(caches)),
          shared_{
              .memory = memory,
              .cpuid = cpuid,
              .vectors = *vectors_,
              .split_lock = split_lock_,
              .code_budget = options.code_cache / kColdShare} {}

    std::unique_ptr<Vcpu> create_vcpu(CpuPorts& ports, CpuSignals& signals,
                                      VcpuIndex index) override {
        CHECK(!caches_.empty());  // one for each processor of the topology
        auto cache = std::move(caches_.back());
        caches_.pop_back();
        return translator::Processor::create(shared_, crew_, ports, signals, index,
                                             options_, std::move(cache));
    }

  private:
    const TranslatorOptions options_;
    Mutex split_lock_;
    std::unique_ptr<interpreter::HostVectorUnit> vectors_;
    std::vector<std::unique_ptr<translator::CodeMemory>> caches_;
    interpreter::Shared shared_;
    translator::Crew crew_;
};

}  // namespace

bool translator_usable() {
    // RORX in every memory access; YMM registers are saved as such.
    return __builtin_cpu_supports("bmi2") != 0 && __builtin_cpu_supports("avx") != 0;
}

Result<std::unique_ptr<Engine>> make_translator(GuestMemory& memory, const CpuidPolicy& cpuid,
                                                const TranslatorOptions& options) {
    if (!translator_usable()) {
        return Error("the translator needs a host processor with AVX and BMI2; "
                     "use --accel interpreter");
    }
    auto vectors = TRY(interpreter::HostVectorUnit::create());
    const uint32_t vcpus = cpuid.topology().vcpus();
    if (options.lockstep && vcpus != 1)
        return Error("the translator can be compared with the interpreter on one processor only");
    std::vector<std::unique_ptr<translator::CodeMemory>> caches;
    for (uint32_t i = 0; i < vcpus; ++i) {
        const uint64_t size = std::max(options.code_cache / vcpus, kLeastCache);
        caches.push_back(TRY(translator::CodeMemory::create(size)));
    }
    return std::unique_ptr<Engine>(
        new TranslatorEngine(memory, cpuid, options, std::move(vectors), std::move(caches)));
}

}  // namespace mynah
