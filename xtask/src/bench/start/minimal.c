/* The least that a program can do with KVM: a machine with a page of memory and one processor, which
   executes HLT in real mode. What monovisor's cold start is measured against. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

int main(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int machine = ioctl(kvm, KVM_CREATE_VM, 0);
    unsigned char *page =
        mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (kvm < 0 || machine < 0 || page == MAP_FAILED)
        return 1;
    page[0] = 0xf4;
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = 0x1000, .memory_size = 0x1000, .userspace_addr = (unsigned long)page};
    if (ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return 2;
    int processor = ioctl(machine, KVM_CREATE_VCPU, 0);
    int bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct kvm_run *run = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, processor, 0);
    struct kvm_sregs sregs;
    if (processor < 0 || run == MAP_FAILED || ioctl(processor, KVM_GET_SREGS, &sregs) < 0)
        return 3;
    sregs.cs.base = sregs.cs.selector = 0;
    struct kvm_regs regs = {.rip = 0x1000, .rflags = 2};
    if (ioctl(processor, KVM_SET_SREGS, &sregs) < 0 || ioctl(processor, KVM_SET_REGS, &regs) < 0)
        return 4;
    if (ioctl(processor, KVM_RUN, 0) < 0 || run->exit_reason != KVM_EXIT_HLT)
        return 5;
    return 0;
}
