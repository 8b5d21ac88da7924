#include "device/interrupt/pic_pair.h"

#include "base/check.h"
#include "device/interrupt/pic8259_registers.h"

namespace mynah {

class PicPair::Input final : public InterruptLine {
 public:
    Input(PicPair& pair, unsigned irq) : pair_(pair), irq_(irq) {}
    void set(bool level) override { pair_.set_input(irq_, level); }

 private:
    PicPair& pair_;
    unsigned irq_;
};

PicPair::PicPair(InterruptLine& intr)
    : master_(Pic8259::Role::kMaster, pic::kMasterElcrMask),
      slave_(Pic8259::Role::kSlave, pic::kSlaveElcrMask),
      intr_(intr),
      master_ports_(*this, &PicPair::read_master, &PicPair::write_master),
      slave_ports_(*this, &PicPair::read_slave, &PicPair::write_slave),
      elcr_ports_(*this, &PicPair::read_elcr, &PicPair::write_elcr) {
    for (unsigned i = 0; i < inputs_.size(); ++i) {
        if (i != pic::kCascadeInput) inputs_[i] = std::make_unique<Input>(*this, i);
    }
}

PicPair::~PicPair() = default;

InterruptLine& PicPair::input(unsigned irq) {
    CHECK(irq < inputs_.size() && inputs_[irq] != nullptr);
    return *inputs_[irq];
}

void PicPair::reset() {
    {
        MutexLock lock(mutex_);
        master_.reset();
        slave_.reset();
        update();
    }
    intr_.flush();
}

void PicPair::update() {
    master_.set_input(pic::kCascadeInput, slave_.output());
    intr_.want(master_.output());
}

void PicPair::set_input(unsigned irq, bool level) {
    {
        MutexLock lock(mutex_);
        (irq < 8 ? master_ : slave_).set_input(irq & 7, level);
        update();
    }
    intr_.flush();
}

uint8_t PicPair::acknowledge() {
    uint8_t vector;
    {
        MutexLock lock(mutex_);
        const Pic8259::Acknowledged first = master_.acknowledge();
        vector = first.vector;
        if (!first.spurious && first.input == pic::kCascadeInput) {
            vector = slave_.acknowledge().vector;
            // INT falls during INTA: if the slave has more, the master sees a new edge.
            master_.set_input(pic::kCascadeInput, false);
        }
        update();
    }
    intr_.flush();
    return vector;
}

uint8_t PicPair::read_master(unsigned offset) {
    uint8_t value;
    {
        MutexLock lock(mutex_);
        value = master_.read(offset);  // a poll acknowledges
        update();
    }
    intr_.flush();
    return value;
}

uint8_t PicPair::read_slave(unsigned offset) {
    uint8_t value;
    {
        MutexLock lock(mutex_);
        value = slave_.read(offset);
        update();
    }
    intr_.flush();
    return value;
}

void PicPair::write_master(unsigned offset, uint8_t value) {
    {
        MutexLock lock(mutex_);
        master_.write(offset, value);
        update();
    }
    intr_.flush();
}

void PicPair::write_slave(unsigned offset, uint8_t value) {
    {
        MutexLock lock(mutex_);
        slave_.write(offset, value);
        update();
    }
    intr_.flush();
}

uint8_t PicPair::read_elcr(unsigned offset) {
    MutexLock lock(mutex_);
    return offset == 0 ? master_.elcr() : slave_.elcr();
}

void PicPair::write_elcr(unsigned offset, uint8_t value) {
    {
        MutexLock lock(mutex_);
        (offset == 0 ? master_ : slave_).write_elcr(value);
        update();
    }
    intr_.flush();
}

}  // namespace mynah
