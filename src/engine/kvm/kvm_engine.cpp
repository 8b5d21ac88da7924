#include <utility>

#include "engine/engine.h"
#include "engine/kvm/kvm_vcpu.h"

namespace mynah {
namespace {

class KvmEngine final : public Engine {
  public:
    explicit KvmEngine(std::unique_ptr<kvm::KvmMachine> machine) : machine_(std::move(machine)) {}
    std::unique_ptr<Vcpu> create_vcpu(CpuPorts& ports, CpuSignals& signals,
                                      VcpuIndex index) override {
        return std::make_unique<kvm::KvmVcpu>(*machine_, ports, signals, index);
    }
    bool add_bell(const BellPlace& place, int event_fd) override {
        return machine_->bells().add(place, event_fd);
    }
    void remove_bell(const BellPlace& place, int event_fd) override {
        machine_->bells().remove(place, event_fd);
    }
    void harvest() override { machine_->harvest(); }
    std::vector<std::string> missing_features() const override { return machine_->lacking(); }
    EngineApics* apics() override { return machine_->interrupts(); }
    std::map<std::string, uint64_t> uses() const override { return machine_->uses(); }
    uint32_t paravirt_features() const override { return machine_->paravirt_features(); }
    bool has_management_mode() const override { return machine_->has_smm(); }

  private:
    std::unique_ptr<kvm::KvmMachine> machine_;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_kvm(GuestMemory& memory, const CpuidPolicy& cpuid,
                                         const KvmOptions& options, SystemCalls& calls) {
    auto machine = TRY(kvm::KvmMachine::create(memory, cpuid, options, calls));
    return std::unique_ptr<Engine>(new KvmEngine(std::move(machine)));
}

}  // namespace mynah
