#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/interpreter/core.h"
#include "engine/interpreter/host_vector.h"

namespace mynah {
namespace {

class InterpreterEngine final : public Engine {
  public:
    InterpreterEngine(GuestMemory& memory, const CpuidPolicy& cpuid,
                      std::unique_ptr<interpreter::HostVectorUnit> vectors)
        : vectors_(std::move(vectors)),
          shared_{
              .memory = memory, .cpuid = cpuid, .vectors = *vectors_, .split_lock = split_lock_} {}

    std::unique_ptr<Vcpu> create_vcpu(CpuPorts& ports, CpuSignals& signals,
                                      VcpuIndex index) override {
        return std::make_unique<interpreter::Core>(shared_, ports, signals, index);
    }

  private:
    Mutex split_lock_;
    std::unique_ptr<interpreter::HostVectorUnit> vectors_;
    interpreter::Shared shared_;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_interpreter(GuestMemory& memory, const CpuidPolicy& cpuid) {
    auto vectors = TRY(interpreter::HostVectorUnit::create());
    return std::unique_ptr<Engine>(new InterpreterEngine(memory, cpuid, std::move(vectors)));
}

}  // namespace mynah
